#version 450
// d_logits[t, e] = s_k (d_k - sum_j s_j d_j) where e is the k-th expert of token t, else 0.
// scores, experts, d_scores [tokens, K] -> d_logits [tokens, E]; one lane per vector of four of d_logits.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint E = 4;
layout(constant_id = 1) const uint K = 2;
layout(constant_id = 2) const bool ALIGNED = true;  // E is a multiple of 4, so a vector belongs to one token
const uint COLUMNS = ALIGNED ? E / 4 : 1;

layout(binding = 0) uniform textureBuffer scores;
layout(binding = 1) uniform utextureBuffer experts;
layout(binding = 2) uniform textureBuffer d_scores;
layout(binding = 3) writeonly buffer DLogits { vec4 d_logits[]; };
layout(push_constant) uniform Push { uint tokens; uint count4; };

void main() {
  uint i = linear_index();
  vec4 result;
  [[unroll]] for (uint c = 0; c < 4; c++) {
    uint token = ALIGNED ? i / COLUMNS : (4 * i + c) / E;
    uint e = ALIGNED ? 4 * (i % COLUMNS) + c : (4 * i + c) % E;
    int row = int(min(token, tokens - 1) * K);
    float mean = 0.0;
    [[unroll]] for (int k = 0; k < K; k++) mean += texelFetch(scores, row + k).x * texelFetch(d_scores, row + k).x;
    result[c] = 0.0;
    [[unroll]] for (int k = 0; k < K; k++) {
      float d = texelFetch(scores, row + k).x * (texelFetch(d_scores, row + k).x - mean);
      result[c] += texelFetch(experts, row + k).x == e ? d : 0.0;
    }
  }
  if (i < count4) d_logits[i] = result;
}
