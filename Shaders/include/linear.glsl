// The invocation's index over a grid that spreads along y once x has reached 65,535 groups, which is all that every
// device guarantees per axis. Needs local_size_y = local_size_z = 1; the last groups may lie past the end.
//
// A macro, because gl_WorkGroupSize is silently 1 in a function that stands before the shader's local_size.
#define linear_index() \
  ((gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * gl_WorkGroupSize.x + gl_LocalInvocationID.x)
