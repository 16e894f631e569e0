// What the loss and its gradient share: the operands, and one row's statistics over the cluster that holds it.
// The includer declares the specialization constants below before the #include.
#include "cluster.glsl"

layout(binding = 0) uniform textureBuffer student;  // [B, N] logits
layout(binding = 1) readonly buffer Labels { uint labels[]; };  // [B], or unused
layout(binding = 2) uniform textureBuffer soft_targets;  // [B, N], or unused
layout(binding = 3) uniform textureBuffer teacher;  // [B, N] logits, or unused

const uint KIND_NONE = 0, KIND_SOFT = 1, KIND_HARD = 2;

struct Row {
  uint label;          // N or more: padding
  float student_max;
  float teacher_max;
  uint teacher_label;  // argmax of the teacher's logits, the lowest index of equal ones
};

Row read_row(uint row, uint classes) {
  Row r;
  r.label = SOFT_TARGETS ? 0 : labels[row];
  r.student_max = -3.402823e38;
  r.teacher_max = r.student_max;
  r.teacher_label = classes;
  for (uint k = cluster_lane(); k < classes; k += CLUSTER) {
    int i = int(row * classes + k);
    r.student_max = max(r.student_max, texelFetch(student, i).x);
    if (KIND != KIND_NONE) {
      float t = texelFetch(teacher, i).x;
      if (t > r.teacher_max) r.teacher_label = k;
      r.teacher_max = max(r.teacher_max, t);
    }
  }
  r.student_max = cluster_max(r.student_max);
  if (KIND != KIND_NONE) {
    float lane_max = r.teacher_max;
    r.teacher_max = cluster_max(lane_max);
    // Lanes without the maximum stand back; the smallest index of the others wins.
    float candidate = lane_max == r.teacher_max ? -float(r.teacher_label) : -float(classes);
    r.teacher_label = uint(-cluster_max(candidate));
  }
  return r;
}
