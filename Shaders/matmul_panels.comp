#version 450
// C[z] = op(A) op(B) of operands that pack_panels laid out, then the epilogue; z sums `chunk4` quads of k into its own C [M, N], N % (4 SPAN) == 0.
//   A  [row tiles][K4][ROWS] vectors along k, or as it is, [M, 4 K4], where it is not PACKED_A
//   B  [column tiles][K4][4 SPAN CLUSTER] vectors along k, in the order of pack_panels.comp
// What a core reads lies in the order in which it reads it: no cache set and no page is asked for two things at once.
// Groups: one subgroup each; x row tiles, y column tiles, z chunks.
#extension GL_GOOGLE_include_directive : require
#include "span.glsl"
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint CLUSTER = 8;  // the subgroup; divides ROWS
layout(constant_id = 8) const bool PACKED_A = true;
const uint B_ORDER = 0;
layout(binding = 5, rgba32f) uniform readonly restrict imageBuffer a;
layout(binding = 6, rgba32f) uniform readonly restrict imageBuffer b;
layout(push_constant) uniform Push {
  int M;
  int N;
  int K4;
  int chunk4;
};
int row_of_a(int row) { return row; }
#include "matmul_panels.glsl"

void main() {
  int k = int(gl_WorkGroupID.z) * chunk4;
  int tile = int(gl_WorkGroupID.x), panel = int(gl_WorkGroupID.y);
  accumulate(tile, tile * ROWS, M, 0, panel, N, K4, k, min(chunk4, K4 - k));
  finish(int(gl_WorkGroupID.z) * M * N, 0, tile * ROWS, M, panel, N);
}
