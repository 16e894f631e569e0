#version 450
// Y [z][C, R] = X [z][R, C] transposed: 32 rows of X x LANES columns a subgroup, a lane with a column, whose numbers it stores. The last
// ones move back. R is a multiple of 8, 32 or more, and C is LANES or more.
// Groups: x tiles of rows, one a subgroup; y tiles of columns; z matrices.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "lane_loads.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) writeonly buffer Y { u64vec4 y[]; };
layout(push_constant) uniform Push {
  int R;
  int C;
  uvec2 x_address;
};

void main() {
  int row = min(int(gl_WorkGroupID.x * gl_NumSubgroups + gl_SubgroupID) * 32, R - 32);
  int column = min(int(gl_WorkGroupID.y * LANES), C - int(LANES)), matrix = int(gl_WorkGroupID.z);
  [[unroll]] for (int i = 0; i < 32; i += 8) {
    float own[8];
    [[unroll]] for (int j = 0; j < 8; j++)
      own[j] = held4(x_address, uint((matrix * R + row + i + j) * C + column), LANES).x;
    uint at = uint((matrix * C + column) * R + row + i) >> 3;
    STORE_LANES(
        y, at + lane_ * (uint(R) >> 3),
        wide(vec4(own[0], own[1], own[2], own[3]), vec4(own[4], own[5], own[6], own[7])))
  }
}
