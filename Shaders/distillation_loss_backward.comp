#version 450
// Gradient of distillation_loss with respect to the student's logits [B, N]; its softmaxes are computed again.
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint KIND = 0;
layout(constant_id = 2) const bool SOFT_TARGETS = false;
layout(constant_id = 3) const bool HAS_LOSS = true;
layout(constant_id = 4) const bool HAS_BASE = false;
layout(constant_id = 5) const bool HAS_KD = false;
#include "distillation.glsl"
layout(local_size_x = 64) in;
// Cotangents [B] of the three outputs; unused where the loss does not depend on them.
layout(binding = 4) uniform textureBuffer d_loss;
layout(binding = 5) uniform textureBuffer d_base;
layout(binding = 6) uniform textureBuffer d_kd;
layout(binding = 7) writeonly buffer D { float d[]; };
layout(push_constant) uniform Push {
  uint rows;
  uint classes;
  float alpha;
  float tau;
  float smoothing;
};

void main() {
  uint row = gl_WorkGroupID.x * (gl_WorkGroupSize.x / CLUSTER) + cluster_index();
  uint held = min(row, rows - 1);
  Row r = read_row(held, classes);

  // x: sum exp(s), y: sum of targets, z: sum exp(s / tau), w: sum exp(t / tau)
  vec4 sums = vec4(0);
  for (uint k = cluster_lane(); k < classes; k += CLUSTER) {
    int i = int(held * classes + k);
    float s = texelFetch(student, i).x - r.student_max;
    sums.x += exp(s);
    if (SOFT_TARGETS) sums.y += texelFetch(soft_targets, i).x;
    if (KIND == KIND_SOFT) {
      sums.z += exp(s / tau);
      sums.w += exp((texelFetch(teacher, i).x - r.teacher_max) / tau);
    }
  }
  sums = cluster_sum(sums);

  float share = 1 / float(rows);
  float from_loss = HAS_LOSS ? texelFetch(d_loss, int(held)).x : 0;
  float base = share * ((KIND == KIND_NONE ? from_loss : (1 - alpha) * from_loss)
    + (HAS_BASE ? texelFetch(d_base, int(held)).x : 0));
  float kd = share * (alpha * from_loss + (HAS_KD ? texelFetch(d_kd, int(held)).x : 0));

  if (row < rows) {
    for (uint k = cluster_lane(); k < classes; k += CLUSTER) {
      int i = int(row * classes + k);
      float s = texelFetch(student, i).x - r.student_max;
      float p = exp(s) / sums.x;
      float g = SOFT_TARGETS
        ? sums.y * p - texelFetch(soft_targets, i).x
        : p - (k == r.label ? 1 - smoothing : 0) - smoothing / float(classes);
      g *= base;
      if (KIND == KIND_SOFT) {
        float q = exp((texelFetch(teacher, i).x - r.teacher_max) / tau) / sums.w;
        g += kd * (tau / float(classes)) * (exp(s / tau) / sums.z - q);
      }
      if (KIND == KIND_HARD) g += kd * (p - (k == r.teacher_label ? 1 : 0));
      d[i] = r.label < classes ? g : 0;
    }
  }
}
