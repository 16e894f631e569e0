#version 450
// dx[b, j, c] = sum over heads h of p[b, h, j] dz[b, h, c] + ds[b, h, j] u[b, h, c], plus query[b, c] at token 0.
// A cluster per CLUSTER tokens and CLUSTER vectors of columns; each lane finds the weights of one of the tokens. In the wide form a
// subgroup has TOKENS tokens and WIDTH columns, the last of which move back to the end, and no loop: it reads by address.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const bool WHOLE_SUBGROUP = true;
layout(constant_id = 2) const bool ALIGNED = true;  // C is a multiple of 4; else vectors have one element
layout(constant_id = 3) const uint T = 17;
layout(constant_id = 4) const uint C = 64;
layout(constant_id = 5) const uint H = 4;
#include "span.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer dz;
layout(binding = 1) uniform textureBuffer u;
layout(binding = 2) uniform textureBuffer query;
layout(binding = 3) uniform textureBuffer s;
layout(binding = 4) uniform textureBuffer logsumexp;
layout(binding = 5) uniform textureBuffer dp;
layout(binding = 6) uniform textureBuffer delta;
SPANS(7, dx)
layout(push_constant) uniform Push {
  uint B;
  IDENTITY
  ADDRESS(dz) ADDRESS(u) ADDRESS(query)
};
#include "class_attention.glsl"

#ifdef WIDE
const uint WIDTH = C < 4 * LANES ? C : 4 * LANES;
const uint TOKENS = T < LANES ? T : LANES;

void main() {
  const uint blocks = (C + WIDTH - 1) / WIDTH, tiles = (T + TOKENS - 1) / TOKENS;
  PART_HERE(1, B * tiles * blocks)
  uint b = known_ / blocks / tiles, column = min(known_ % blocks * WIDTH, C - WIDTH);
  uint token = min(known_ / blocks % tiles * TOKENS, T - TOKENS);
  uvec2 to_values = further(dz_address, b * H * C + column), to_scores = further(u_address, b * H * C + column);
  vec4 sum[TOKENS][1];
  [[unroll]] for (uint l = 0; l < TOKENS; l++) sum[l][0] = vec4(0.0);
  sum[0][0] = held4(query_address, b * C + column, WIDTH) * (token == 0 ? 1.0 : 0.0);
  [[unroll]] for (uint h = 0; h < H; h++) {
    int pair = int(b * H + h), at = pair * int(T) + int(min(token + gl_SubgroupInvocationID, T - 1));
    float p = probability(at, pair);
    float ds = score_gradient(p, at, pair);
    vec4 to_value = held4(to_values, h * C, WIDTH), to_score = held4(to_scores, h * C, WIDTH);
    [[unroll]] for (uint l = 0; l < TOKENS; l++) sum[l][0] += LANE_OF(p, l) * to_value + LANE_OF(ds, l) * to_score;
  }
  [[unroll]] for (uint l = 0; l < TOKENS; l++) STORE_ELEMENTS(dx, (b * T + token + l) * C + column, WIDTH, sum[l])
}
#else
void main() {
  const uint columns = ALIGNED ? C / 4 : C;
  uint blocks = (columns + CLUSTER - 1) / CLUSTER;
  uint tiles = (T + CLUSTER - 1) / CLUSTER;
  uint i = linear_cluster();
  uint b = min(i / blocks / tiles, B - 1);
  uint token = i / blocks % tiles * CLUSTER;
  uint column = i % blocks * CLUSTER + cluster_lane();
  int inside = int(min(column, columns - 1));
  vec4 sum[CLUSTER];
  [[unroll]] for (uint l = 0; l < CLUSTER; l++) sum[l] = vec4(0.0);
  if (token == 0) sum[0] = texelFetch(query, int(b * columns) + inside);
  for (int h = 0; h < int(H); h++) {
    int pair = int(b * H) + h;
    int at = pair * int(T) + int(min(token + cluster_lane(), T - 1));
    float p = probability(at, pair);
    float ds = score_gradient(p, at, pair);
    vec4 to_value = texelFetch(dz, pair * int(columns) + inside);
    vec4 to_score = texelFetch(u, pair * int(columns) + inside);
    [[unroll]] for (uint l = 0; l < CLUSTER; l++) sum[l] += of_lane(p, l) * to_value + of_lane(ds, l) * to_score;
  }
  [[unroll]] for (uint l = 0; l < CLUSTER; l++) {
    uint at = (b * T + token + l) * columns + column;
    if (i / blocks / tiles < B && token + l < T && column < columns) {
      if (ALIGNED) dx[at] = sum[l];
      else dx[at / 4][at % 4] = sum[l].x;
    }
  }
}
#endif
