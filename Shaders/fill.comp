// y[i] = value; y is count4 vec4.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint LOCAL_SIZE = 64;

layout(binding = 0) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push {
  uint count4;
  float value;
};

void main() {
  uint i = linear_index();
  if (i < count4) y[i] = vec4(value);
}
