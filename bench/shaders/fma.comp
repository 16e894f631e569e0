#version 450
// As many multiply-adds as the device does: sums [invocations], 384 of one number each for every iteration.
// Twelve chains that do not wait for each other cover the latency of two pipes and fit sixteen registers.
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
  float factor;     // below 1, so that the chains converge; not known when the shader is compiled
  float term;
};

void main() {
  REAL4 f = REAL4(factor), t = REAL4(term);
  REAL4 a = REAL4(gl_LocalInvocationID.x), b = a + t, c = b + t;
  for (uint i = 0; i < iterations; i++) {
    [[unroll]] for (int j = 0; j < 32; j++) {
      a = fma(a, f, t);
      b = fma(b, f, t);
      c = fma(c, f, t);
    }
  }
  sums[gl_GlobalInvocationID.x] = float(dot(a + b + c, REAL4(1)));
}
