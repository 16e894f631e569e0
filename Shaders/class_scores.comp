#version 450
// scores[b, h, j] = u[b, h, :] x[b, j, :], and over the tokens j of each (b, h)
//   forward:   statistic = log sum exp scores[j]
//   BACKWARD:  statistic = sum of exp(s[j] - logsumexp) scores[j]
// A cluster per (b, h), its lanes every CLUSTER-th token, TOKENS of them at a time. In the wide form it is the subgroup, and there is no
// loop: it reads by address, and lanes hold columns until each has the sum of one token.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const bool ALIGNED = true;  // C is a multiple of 4; else vectors have one element
layout(constant_id = 2) const bool BACKWARD = false;
layout(constant_id = 3) const uint TOKENS = 2;
layout(constant_id = 4) const uint T = 17;
layout(constant_id = 5) const uint C = 64;
#include "cluster.glsl"
#include "span.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform textureBuffer u;
layout(binding = 2) uniform textureBuffer s;
layout(binding = 3) uniform textureBuffer logsumexp;
layout(binding = 4) writeonly buffer Scores { float scores[]; };
layout(binding = 5) writeonly buffer Statistic { float statistic[]; };
layout(push_constant) uniform Push {
  uint pairs;  // B H
  uint H;
  IDENTITY
  ADDRESS(x) ADDRESS(u)
};

#ifdef WIDE
#include "class_tokens.glsl"
const uint VECTORS = (C + 4 * LANES - 1) / (4 * LANES);
vec4 part_of_row(uvec2 row, uint j, uint i) { return held4(row, j * C + 4 * LANES * i, C - 4 * LANES * i); }

// Halves what is to be added up: lanes with bit `step` go on with the second half of the numbers, the others with the first.
#define FOLD(x, step) \
  if (LANES > step) \
    [[unroll]] for (uint i_ = 0; i_ < step; i_++) { \
      bool upper_ = (gl_SubgroupInvocationID & step) != 0; \
      float keep_ = upper_ ? x[i_ + step] : x[i_], give_ = upper_ ? x[i_] : x[i_ + step]; \
      x[i_] = keep_ + subgroupShuffleXor(give_, step); \
    }

void main() {
  PART_HERE(1, pairs)
  uint pair = known_;
  uvec2 tokens = further(x_address, pair / H * T * C), row = further(u_address, pair * C);
  vec4 asked[VECTORS];
  [[unroll]] for (uint i = 0; i < VECTORS; i++) asked[i] = part_of_row(row, 0, i);
  float score[GROUPS];
  [[unroll]] for (uint g = 0; g < GROUPS; g++) {
    float sum[LANES];
    [[unroll]] for (uint lane = 0; lane < LANES; lane++) {
      vec4 products = vec4(0.0);
      if (g * LANES + lane < T)
        [[unroll]] for (uint i = 0; i < VECTORS; i++) products += asked[i] * part_of_row(tokens, g * LANES + lane, i);
      sum[lane] = (products.x + products.y) + (products.z + products.w);
    }
    if (BROADCASTS) {
      score[g] = 0.0;
      [[unroll]] for (uint lane = 0; lane < LANES; lane++)
        if (g * LANES + lane < T) score[g] = mix(score[g], cluster_sum(sum[lane]), gl_SubgroupInvocationID == lane);
    } else {
      FOLD(sum, 16)
      FOLD(sum, 8)
      FOLD(sum, 4)
      FOLD(sum, 2)
      FOLD(sum, 1)
      score[g] = sum[0];
    }
  }
  float normalizer = BACKWARD ? texelFetch(logsumexp, int(pair)).x : -3e38;
  if (!BACKWARD) {
    [[unroll]] for (uint g = 0; g < GROUPS; g++) normalizer = max(normalizer, IS_TOKEN(g) ? score[g] : -3e38);
    normalizer = cluster_max(normalizer);
  }
  float total = 0.0;
  [[unroll]] for (uint g = 0; g < GROUPS; g++) {
    float of = BACKWARD ? texelFetch(s, int(pair * T + token_of(g))).x : score[g];
    float p = exp(of - normalizer);
    total += IS_TOKEN(g) ? (BACKWARD ? p * score[g] : p) : 0.0;
  }
  total = cluster_sum(total);
  statistic[pair] = BACKWARD ? total : normalizer + log(total);
  [[unroll]] for (uint j = 0; j < T; j++) scores[pair * T + j] = OF_TOKEN(score, j);
}
#else
float product(vec4 a, vec4 b) { return ALIGNED ? dot(a, b) : a.x * b.x; }

void main() {
  const uint columns = ALIGNED ? C / 4 : C;
  uint i = linear_cluster();
  uint pair = min(i, pairs - 1);
  int row = int(pair * columns);
  float normalizer = BACKWARD ? texelFetch(logsumexp, int(pair)).x : 0.0;
  float peak = -3e38;
  float total = 0.0;
  for (uint first = 0; first < T; first += CLUSTER * TOKENS) {
    int token[TOKENS];
    float score[TOKENS];
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
      token[t] = int((pair / H * T + min(first + t * CLUSTER + cluster_lane(), T - 1)) * columns);
      score[t] = 0.0;
    }
    for (int c = 0; c < int(columns); c++) {
      vec4 shared_row = texelFetch(u, row + c);
      [[unroll]] for (uint t = 0; t < TOKENS; t++) score[t] += product(shared_row, texelFetch(x, token[t] + c));
    }
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
      uint j = first + t * CLUSTER + cluster_lane();
      bool inside = j < T;
      if (BACKWARD) {
        float p = exp(texelFetch(s, int(pair * T + min(j, T - 1))).x - normalizer);
        total += inside ? p * score[t] : 0.0;
      } else {
        float next = inside ? max(peak, score[t]) : peak;
        total = total * exp(peak - next) + (inside ? exp(score[t] - next) : 0.0);
        peak = next;
      }
      if (inside && i < pairs) scores[pair * T + j] = score[t];
    }
  }
  float highest = BACKWARD ? 0.0 : cluster_max(peak);
  total = cluster_sum(BACKWARD ? total : total * exp(peak - highest));
  if (cluster_lane() == 0 && i < pairs) statistic[pair] = BACKWARD ? total : highest + log(total);
}
#endif
