#version 450
// z[b, h, c] = sum over tokens j of weight[b, h, j] x[b, j, c]
//   forward:   weight = softmax over j of s
//   BACKWARD:  weight = the gradient of s
// A cluster per CLUSTER vectors of a row of z; each lane finds the weight of one token of CLUSTER. In the wide form a subgroup has WIDTH
// columns, the last of which move back to the end, and no loop: it reads by address.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const bool WHOLE_SUBGROUP = true;
layout(constant_id = 2) const bool ALIGNED = true;  // C is a multiple of 4; else vectors have one element
layout(constant_id = 3) const bool BACKWARD = false;
layout(constant_id = 4) const uint T = 17;
layout(constant_id = 5) const uint C = 64;
layout(constant_id = 6) const uint WIDTH = 32;  // columns of a cluster
#include "span.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform textureBuffer s;
layout(binding = 2) uniform textureBuffer logsumexp;
layout(binding = 3) uniform textureBuffer dp;
layout(binding = 4) uniform textureBuffer delta;
SPANS(5, z)
layout(push_constant) uniform Push {
  uint pairs;  // B H
  uint H;
  IDENTITY
  ADDRESS(x)
};
#include "class_attention.glsl"

#ifdef WIDE
const uint PER_LANE = (WIDTH + LANES - 1) / LANES;

void main() {
  const uint blocks = (C + WIDTH - 1) / WIDTH;
  PART_HERE(1, pairs * blocks)
  uint pair = known_ / blocks, column = min(known_ % blocks * WIDTH, C - WIDTH);
  float weight[GROUPS];
  [[unroll]] for (uint g = 0; g < GROUPS; g++) {
    int at = int(pair * T + token_of(g));
    weight[g] = probability(at, int(pair));
    if (BACKWARD) weight[g] = score_gradient(weight[g], at, int(pair));
  }
  uvec2 tokens = further(x_address, pair / H * T * C + column);
  vec4 sum[1] = {vec4(0.0)};
  [[unroll]] for (uint j = 0; j < T; j++) {
    vec4 row = held4(tokens, j * C, WIDTH);
    [[unroll]] for (uint c = 0; c < PER_LANE; c++) sum[0][c] += OF_TOKEN(weight, j) * row[c];
  }
  STORE_ELEMENTS(z, pair * C + column, WIDTH, sum)
}
#else
void main() {
  const uint columns = ALIGNED ? C / 4 : C;
  const uint blocks = (C + WIDTH - 1) / WIDTH;
  uint i = linear_cluster();
  int pair = int(min(i / blocks, pairs - 1));
  uint column = i % blocks * CLUSTER + cluster_lane();
  int first_token = pair / int(H) * int(T);
  int inside = int(min(column, columns - 1));
  vec4 sum = vec4(0.0);
  for (int first = 0; first < int(T); first += int(CLUSTER)) {
    int j = first + int(cluster_lane());
    int at = pair * int(T) + min(j, int(T) - 1);
    float weight = probability(at, pair);
    if (BACKWARD) weight = score_gradient(weight, at, pair);
    weight = j < int(T) ? weight : 0.0;
    [[unroll]] for (uint l = 0; l < CLUSTER; l++) {
      int token = first_token + min(first + int(l), int(T) - 1);
      sum += of_lane(weight, l) * texelFetch(x, token * int(columns) + inside);
    }
  }
  uint at = pair * columns + column;
  if (i / blocks < pairs && column < columns) {
    if (ALIGNED) z[at] = sum;
    else z[at / 4][at % 4] = sum.x;
  }
}
#endif
