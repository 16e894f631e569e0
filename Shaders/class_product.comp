#version 450
// One query's projections, head by head, of few rows b (`Sources/Ops/ClassAttention.swift`):
//   transposed:  y[b, h, n] = scale sum over k of a[b, h, k] w[first_row + h N + n, k]  (+ bias[first_row + h N + n])
//   else:        y[b, h, n] = scale sum over k of a[b, h, k] w[first_row + h K + k, n]
// a[b, h, k] is element b a_batch + h a_head + k; rows of w have w_columns elements. A lane per ROWS rows of four columns.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const bool ALIGNED = true;  // K, N and w_columns are multiples of 4; else a lane has one column
layout(constant_id = 1) const bool TRANSPOSED = true;
layout(constant_id = 2) const bool HAS_BIAS = false;
layout(constant_id = 3) const uint ROWS = 4;

layout(binding = 0) uniform textureBuffer a;
layout(binding = 1) uniform textureBuffer w;
layout(binding = 2) uniform textureBuffer bias;
layout(binding = 3) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push {
  uint B;
  uint H;
  uint K;
  uint N;
  uint a_batch;
  uint a_head;
  uint first_row;
  uint w_columns;
  float scale;
};

const uint WIDTH = ALIGNED ? 4 : 1;

void main() {
  uint i = linear_index();
  uint columns = N / WIDTH;
  uint column = i % columns;
  uint h = i / columns % H;
  uint b0 = i / columns / H * ROWS;
  uint row = first_row + h * (TRANSPOSED ? N : K) + (TRANSPOSED ? WIDTH * column : 0);

  uint a_at[ROWS];
  vec4 sum[ROWS];
  [[unroll]] for (uint r = 0; r < ROWS; r++) {
    a_at[r] = (min(b0 + r, B - 1) * a_batch + h * a_head) / WIDTH;
    sum[r] = vec4(0.0);
  }
  for (uint k = 0; k < K; k += WIDTH) {
    vec4 part[WIDTH];
    [[unroll]] for (uint t = 0; t < WIDTH; t++) {
      uint start = (row + t + (TRANSPOSED ? 0 : k)) * w_columns;
      part[t] = texelFetch(w, int(start / WIDTH + (TRANSPOSED ? k / WIDTH : column)));
    }
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
      vec4 x = texelFetch(a, int(a_at[r] + k / WIDTH));
      [[unroll]] for (uint t = 0; t < WIDTH; t++) {
        if (TRANSPOSED) sum[r][t] += ALIGNED ? dot(x, part[t]) : x.x * part[t].x;
        else sum[r] += x[t] * part[t];
      }
    }
  }
  vec4 shift = HAS_BIAS ? texelFetch(bias, int(row / WIDTH)) : vec4(0.0);
  [[unroll]] for (uint r = 0; r < ROWS; r++) {
    uint at = ((b0 + r) * H + h) * columns + column;
    if (b0 + r < B) {
      if (ALIGNED) y[at] = scale * sum[r] + shift;
      else y[at / 4][at % 4] = scale * sum[r].x + shift.x;
    }
  }
}
