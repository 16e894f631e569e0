// A cluster per row of C elements: of each SPAN CLUSTER vectors in a row lane l holds the l-th span, VECTORS vectors in all.
// Include after cluster.glsl, fetch4.glsl, span.glsl and the constants C and CLUSTER. In the wide form C is a multiple of 8.
const uint VECTORS = SPAN * ((C + 4 * SPAN * CLUSTER - 1) / (4 * SPAN * CLUSTER));

uint column(uint i) { return 4 * ((i / SPAN * CLUSTER + cluster_lane()) * SPAN + i % SPAN); }

// `value` where vector i is inside the row, else 0. Costs nothing where rows are whole multiples of the cluster.
vec4 inside(uint i, vec4 value) {
  if (C % (4 * SPAN * CLUSTER) == 0) return value;
  return mix(vec4(0.0), value, lessThan(column(i) + uvec4(0, 1, 2, 3), uvec4(C)));
}

// Vector i of the row that starts at element `start`, zeros past its end.
vec4 row4(textureBuffer source, uint start, uint i) {
  return inside(i, fetch4(source, C % 4 == 0, int(start), int(min(column(i), (C - 1) / 4 * 4)), int(C)));
}

// Stores `v`, by vectors, as the row that starts at element `start` of `buffer`.
#ifdef WIDE
#define STORE_ROW(buffer, start, v) \
  [[unroll]] for (uint i_ = 0; i_ < VECTORS; i_ += 2) \
    STORE_SPAN(buffer, start, column(i_), C, (vec4[2]((v)[i_], (v)[i_ + 1])))
#else
#define STORE_ROW(buffer, start, v) \
  [[unroll]] for (uint i_ = 0; i_ < VECTORS; i_++) \
    STORE_SPAN(buffer, start, column(i_), C, (vec4[1]((v)[i_])))
#endif
