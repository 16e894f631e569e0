#version 450
// Rows of (1 - alpha) base + alpha kd, of base and of kd, each divided by B. One cluster holds one row.
//   base = (1 - smoothing) nll + smoothing mean_k(-log p_k), or -sum_k target_k log p_k
//   kd   = tau^2 / N * sum_k q_k (log q_k - log p_k) with p, q of logits / tau, or nll of the teacher's best class
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint KIND = 0;
layout(constant_id = 2) const bool SOFT_TARGETS = false;
#include "distillation.glsl"
layout(local_size_x = 64) in;
layout(binding = 4) writeonly buffer Loss { float loss[]; };
layout(binding = 5) writeonly buffer Base { float base[]; };
layout(binding = 6) writeonly buffer Kd { float kd[]; };
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

  // x: sum exp(s), y: sum s or sum t s, z: s at the label or sum t, w: s at the teacher's label; s less its maximum.
  vec4 sums = vec4(0);
  // x: sum exp(s / tau), y: sum exp(t / tau), z: sum exp(t / tau) (t - s) / tau
  vec4 tempered = vec4(0);
  for (uint k = cluster_lane(); k < classes; k += CLUSTER) {
    int i = int(held * classes + k);
    float s = texelFetch(student, i).x - r.student_max;
    sums.x += exp(s);
    if (SOFT_TARGETS) {
      float target = texelFetch(soft_targets, i).x;
      sums.y += target * s;
      sums.z += target;
    } else {
      sums.y += s;
      sums.z += k == r.label ? s : 0;
    }
    if (KIND == KIND_HARD) sums.w += k == r.teacher_label ? s : 0;
    if (KIND == KIND_SOFT) {
      float t = texelFetch(teacher, i).x - r.teacher_max;
      float q = exp(t / tau);
      tempered.x += exp(s / tau);
      tempered.y += q;
      tempered.z += q * ((t - s) / tau);
    }
  }
  sums = cluster_sum(sums);
  if (KIND == KIND_SOFT) tempered = cluster_sum(tempered);

  float log_sum = log(sums.x);
  float row_base = SOFT_TARGETS
    ? sums.z * log_sum - sums.y
    : log_sum - (1 - smoothing) * sums.z - smoothing * sums.y / float(classes);
  float row_kd = 0;
  if (KIND == KIND_SOFT) {
    row_kd = (tempered.z / tempered.y + log(tempered.x) - log(tempered.y)) * tau * tau / float(classes);
  }
  if (KIND == KIND_HARD) row_kd = log_sum - sums.w;

  float share = r.label < classes ? 1 / float(rows) : 0;
  if (row < rows && cluster_lane() == 0) {
    // A padding row is zero whatever its logits are.
    loss[row] = share == 0 ? 0 : share * (KIND == KIND_NONE ? row_base : (1 - alpha) * row_base + alpha * row_kd);
    base[row] = share == 0 ? 0 : share * row_base;
    kd[row] = share == 0 ? 0 : share * row_kd;
  }
}
