#version 450
// As many multiply-adds as the device does: sums [invocations], 768 of one number each for every iteration.
//
// Twelve sums are under way at a time: that covers the latency of two pipes and fits sixteen registers. Each step of one
// reads another, so that no compiler computes one sum after the other.
#extension GL_EXT_control_flow_attributes : require
#ifdef HALF
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define REAL float16_t
#define REAL4 f16vec4
#else
#define REAL float
#define REAL4 vec4
#endif

layout(local_size_x = 64) in;
layout(binding = 0) writeonly buffer Sums { float sums[]; };
layout(push_constant) uniform Push {
  uint iterations;  // at most 65,535: software drivers end longer loops
  float factor;     // so small that nothing grows; not known when the shader is compiled
};

void main() {
  REAL f = REAL(factor);
  // Different numbers: equal sums would be computed once.
  REAL4 a = REAL4(gl_LocalInvocationID.x) + REAL4(0, 1, 2, 3), b = a + REAL4(4), c = a + REAL4(8);
  for (uint i = 0; i < iterations; i++) {
    [[unroll]] for (int j = 0; j < 64; j++) {
      REAL4 old = a;
      a = fma(b.yzwx, REAL4(f), a);
      b = fma(c.yzwx, REAL4(f), b);
      c = fma(old.yzwx, REAL4(f), c);
    }
  }
  sums[gl_GlobalInvocationID.x] = float(dot(a + b + c, REAL4(1)));
}
