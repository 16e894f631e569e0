// What a relaxed Bernoulli sample and its gradient share (Maddison et al., "The concrete distribution", 2017):
// s = sigmoid(z), z = (logit u + logit p) / temperature, with probabilities kept within [EPS, 1 - EPS].
const float EPS = 1.1920929e-7;

layout(binding = 0) uniform textureBuffer log_p;  // [N], R32 unless N % 4 = 0
layout(binding = 1) uniform textureBuffer u;      // [B, N]

vec4 clipped(vec4 p) { return clamp(p, vec4(EPS), vec4(1.0 - EPS)); }
vec4 logit(vec4 p) { return log(p) - log(1.0 - p); }
