// A cluster per row of C elements: lane l holds the four columns from 4 (i CLUSTER + l) on, i < VECTORS.
// Include after cluster.glsl, fetch4.glsl and the constants C and CLUSTER.

uint column(uint i) { return 4 * (i * CLUSTER + cluster_lane()); }

// `value` where vector i is inside the row, else 0. Costs nothing where rows are whole multiples of the cluster.
vec4 inside(uint i, vec4 value) {
  if (C % (4 * CLUSTER) == 0) return value;
  return mix(vec4(0.0), value, lessThan(column(i) + uvec4(0, 1, 2, 3), uvec4(C)));
}

// Vector i of the row that starts at element `start`, zeros past its end.
vec4 row4(textureBuffer source, uint start, uint i) {
  return inside(i, fetch4(source, C % 4 == 0, int(start), int(min(column(i), (C - 1) / 4 * 4)), int(C)));
}
