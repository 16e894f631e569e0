#version 450
// scores[b, h, j] = u[b, h, :] x[b, j, :], and over the tokens j of each (b, h)
//   forward:   statistic = log sum exp scores[j]
//   BACKWARD:  statistic = sum of exp(s[j] - logsumexp) scores[j]
// A cluster per (b, h), its lanes every CLUSTER-th token, TOKENS of them at a time.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const bool ALIGNED = true;  // C is a multiple of 4; else vectors have one element
layout(constant_id = 2) const bool BACKWARD = false;
layout(constant_id = 3) const uint TOKENS = 2;
#include "cluster.glsl"
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
  uint T;
  uint columns;  // vectors of a row
};

float product(vec4 a, vec4 b) { return ALIGNED ? dot(a, b) : a.x * b.x; }

void main() {
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
