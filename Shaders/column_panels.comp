#version 450
// Columns of X in panels, each of WIDTH columns and its rows one behind another, so that who reads some columns of all rows reads on:
//   Y [z][panel][K][WIDTH], Y(z, p, k, j) = X(z, row(k), start(p) + j) with X [z][*, N], or TURNED [z][N, K]
//   start(p) = p STEP, but N - WIDTH at the most, TURNED N - STEP; row(k) = gather[k] / divisor where GATHERED, else k
//   WIDTH is a multiple of 8; N is WIDTH or more, K DEPTH or more. TURNED, N is STEP or more, K LANES or more, and columns from N on are
//   the last one again.
// The last parts of K move back. Groups: one subgroup each; x panels, y parts of K, DEPTH each or TURNED LANES; z matrices.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "lane_loads.glsl"
layout(local_size_x_id = 0) in;
layout(constant_id = 8) const bool TURNED = false;
layout(constant_id = 9) const bool GATHERED = false;
layout(constant_id = 10) const uint WIDTH = 8;  // 4 LANES at the most
layout(constant_id = 11) const uint STEP = 8;
layout(constant_id = 12) const int DEPTH = 16;
layout(binding = 0) uniform textureBuffer x;
WIDE_SPANS(1, y)
layout(binding = 2) uniform utextureBuffer gather;  // [K]
layout(push_constant) uniform Push {
  int N;
  int K;
  int divisor;
  uvec2 x_address;
  uvec2 gather_address;
};

void main() {
  int column = min(int(gl_WorkGroupID.x * STEP), N - int(TURNED ? STEP : WIDTH)), matrix = int(gl_WorkGroupID.z);
  uint panel = (gl_WorkGroupID.z * gl_NumWorkGroups.x + gl_WorkGroupID.x) * uint(K);
  if (TURNED) {
    int k = min(int(gl_WorkGroupID.y * LANES), K - int(LANES));
    [[unroll]] for (int i = 0; i < WIDTH; i += 8) {
      float own[8];
      [[unroll]] for (int j = 0; j < 8; j++)
        own[j] = held4(floats_at(x_address, (matrix * N + min(column + i + j, N - 1)) * K + k), LANES).x;
      STORE_LANES(
          y, (panel + uint(k) + lane_) * (WIDTH / 8) + uint(i / 8),
          wide(vec4(own[0], own[1], own[2], own[3]), vec4(own[4], own[5], own[6], own[7])))
    }
  } else {
    int k = min(int(gl_WorkGroupID.y) * DEPTH, K - DEPTH);
    [[unroll]] for (int i = 0; i < DEPTH; i++) {
      int row = GATHERED ? integer_at(gather_address, k + i) / divisor : k + i;
      vec4 held[1];
      held[0] = held4(floats_at(x_address, (matrix * K + row) * N + column), WIDTH);
      STORE_HELD(y, (panel + uint(k + i)) * (WIDTH / 8), WIDTH / 8, held)
    }
  }
}
