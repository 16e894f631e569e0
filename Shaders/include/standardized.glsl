// Statistics of a row that a cluster holds in registers. Include after row.glsl and the constant VECTORS.

/// Takes the mean from the row's elements; returns 1 / sqrt(variance + eps). Elements outside of the row stay zero.
float standardize(inout vec4 row[VECTORS], float eps) {
  vec4 sum = vec4(0.0);
  [[unroll]] for (uint i = 0; i < VECTORS; i++) sum += row[i];
  float mean = cluster_sum(dot(sum, vec4(1.0))) / C;
  sum = vec4(0.0);
  [[unroll]] for (uint i = 0; i < VECTORS; i++) {
    row[i] = inside(i, row[i] - mean);
    sum += row[i] * row[i];
  }
  return inversesqrt(cluster_sum(dot(sum, vec4(1.0))) / C + eps);
}
