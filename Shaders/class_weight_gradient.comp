#version 450
// dw[first_row + h D + d, c] = scale sum over b of left[b, h, d] right[b, h, c], and for HAS_BIAS
// dbias[first_row + h D + d] = the sum over b of left[b, h, d], else 0. left is dense; right[b, h, c] is element
// b right_batch + h right_head + c. A lane per four rows of four columns.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const bool ALIGNED = true;  // D and columns are multiples of 4; else a lane has one element
layout(constant_id = 1) const bool HAS_BIAS = true;
layout(binding = 0) uniform textureBuffer left;
layout(binding = 1) uniform textureBuffer right;
layout(binding = 2) writeonly buffer DW { vec4 dw[]; };
layout(binding = 3) writeonly buffer DBias { vec4 dbias[]; };
layout(push_constant) uniform Push {
  uint B;
  uint H;
  uint D;
  uint columns;  // vectors of a row of dw
  uint right_batch;
  uint right_head;
  uint first_row;
  float scale;
};

const uint WIDTH = ALIGNED ? 4 : 1;

void main() {
  uint i = linear_index();
  uint count = H * D / WIDTH;  // of blocks of rows
  uint block = min(i / columns, count - 1);
  uint column = i % columns;
  uint h = block * WIDTH / D;
  vec4 total = vec4(0.0);
  vec4 sum[WIDTH];
  [[unroll]] for (uint t = 0; t < WIDTH; t++) sum[t] = vec4(0.0);
  for (uint b = 0; b < B; b++) {
    vec4 x = texelFetch(left, int(b * count + block));
    vec4 y = texelFetch(right, int((b * right_batch + h * right_head) / WIDTH + column));
    total += x;
    [[unroll]] for (uint t = 0; t < WIDTH; t++) sum[t] += x[t] * y;
  }
  uint row = first_row + WIDTH * block;
  if (i / columns < count) {
    [[unroll]] for (uint t = 0; t < WIDTH; t++) {
      uint at = (row + t) * columns + column;
      if (ALIGNED) dw[at] = scale * sum[t];
      else dw[at / 4][at % 4] = scale * sum[t].x;
    }
    if (column == 0) {
      vec4 value = HAS_BIAS ? total : vec4(0.0);
      if (ALIGNED) dbias[row / 4] = value;
      else dbias[row / 4][row % 4] = value.x;
    }
  }
}
