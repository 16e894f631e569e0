#version 450
// The K largest logits of each token, in descending order (ties: the lower expert first), and their softmax.
// logits [tokens, E] -> scores [tokens, K], experts [tokens, K]; one lane per token, K <= 8, K <= E.
// A NaN is never larger than a number, so it is picked last; the picked experts are always K different ones below E.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "fetch4.glsl"
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint E = 4;
layout(constant_id = 1) const uint K = 2;
layout(constant_id = 2) const bool ALIGNED = true;

layout(binding = 0) uniform textureBuffer logits;
layout(binding = 1) writeonly buffer Scores { float scores[]; };
layout(binding = 2) writeonly buffer Experts { uint experts[]; };
layout(push_constant) uniform Push { uint tokens; };

void main() {
  uint token = linear_index();
  int row = int(min(token, tokens - 1) * E);
  float best[K];
  uint who[K];
  [[unroll]] for (uint j = 0; j < K; j++) {
    best[j] = 0.0;
    who[j] = 0;
  }
  for (uint first = 0; first < E; first += 4) {
    vec4 four = fetch4(logits, ALIGNED, row, int(first), int(E));
    [[unroll]] for (uint c = 0; c < 4; c++) {
      uint e = first + c;
      float x = four[c];
      uint expert = e;
      bool inserted = false;  // from its place on, the rest of the list moves down by one
      [[unroll]] for (uint j = 0; j < K; j++) {
        inserted = inserted || (e < E && (x > best[j] || j >= e));  // j >= e: the place is still empty
        float x_below = inserted ? best[j] : x;
        uint expert_below = inserted ? who[j] : expert;
        best[j] = inserted ? x : best[j];
        who[j] = inserted ? expert : who[j];
        x = x_below;
        expert = expert_below;
      }
    }
  }
  float weight[K];
  float sum = 0.0;
  [[unroll]] for (uint j = 0; j < K; j++) {
    weight[j] = exp(best[j] - best[0]);
    sum += weight[j];
  }
  if (token < tokens) {
    [[unroll]] for (uint j = 0; j < K; j++) {
      scores[token * K + j] = weight[j] / sum;
      experts[token * K + j] = who[j];
    }
  }
}
