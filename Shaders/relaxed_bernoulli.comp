#version 450
// y[b, i] = log sigmoid((logit u[b, i] + logit exp(log_p[i])) / temperature): log_p [N], u [B, N] -> y [B, N].
#extension GL_GOOGLE_include_directive : require
#include "elementwise.glsl"
#include "relaxed_bernoulli.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint N = 64;
SPANS(2, y)
layout(push_constant) uniform Push {
  uint count4;
  float temperature;
  IDENTITY
};

vec4 log_p4(uint i) {
  if (N % 4 == 0) return texelFetch(log_p, int(i % (N / 4)));
  uvec4 e = (4 * i + uvec4(0, 1, 2, 3)) % N;
  return vec4(
      texelFetch(log_p, int(e.x)).x, texelFetch(log_p, int(e.y)).x, texelFetch(log_p, int(e.z)).x,
      texelFetch(log_p, int(e.w)).x);
}

vec4 value(uint i) {
  vec4 z = (logit(clipped(texelFetch(u, int(i)))) + logit(clipped(exp(log_p4(i))))) / temperature;
  // The sample too is kept below 1.
  vec4 s = min(min(z, vec4(0.0)) - log(1.0 + exp(-abs(z))), vec4(-EPS));
  return max(s, vec4(-87.336544));
}

void main() {
  EACH_SPAN(i, count4 / SPAN) STORE(y, i, SPAN_OF(value, i))
}
