#version 450
// dlog_p[i] = the sum over b of dy[b, i] dy/dlog_p: (log_p [N], u [B, N], dy [B, N]) -> [N]; views R32 unless N % 4 = 0.
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
#include "fetch4.glsl"
#include "relaxed_bernoulli.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint N = 64;
layout(binding = 2) uniform textureBuffer dy;
layout(binding = 3) writeonly buffer DlogP { vec4 dlog_p[]; };
layout(push_constant) uniform Push {
  uint batch;
  float temperature;
};

void main() {
  uint i = linear_index();
  int at = int(min(4 * i, (N - 1) / 4 * 4));
  vec4 p = exp(fetch4(log_p, N % 4 == 0, 0, at, int(N)));
  vec4 kept = clipped(p);
  vec4 logit_p = logit(kept);
  vec4 sum = vec4(0.0);
  for (uint b = 0; b < batch; b++) {
    vec4 z = (logit(clipped(fetch4(u, N % 4 == 0, int(b * N), at, int(N)))) + logit_p) / temperature;
    // sigmoid(-z), nothing where the sample is clipped.
    vec4 slope = 1.0 / (1.0 + exp(z));
    slope = mix(slope, vec4(0.0), lessThan(slope, vec4(EPS)));
    sum += fetch4(dy, N % 4 == 0, int(b * N), at, int(N)) * slope;
  }
  sum /= temperature * (1.0 - kept);
  if (4 * i < N) dlog_p[i] = mix(sum, vec4(0.0), notEqual(p, kept));
}
