// A cluster per row of C elements, in the vectors of the whole tensor: rows of any length cost as much as aligned ones,
// but share the vectors at their ends with their neighbours. Lane l has every CLUSTER-th vector from `first` on.
// Include after cluster.glsl and the constants C and CLUSTER.
const bool WHOLE_ROWS = C % 4 == 0;
const int ROW_VECTORS = int(WHOLE_ROWS ? C / 4 : (C + 6) / 4);  // that a row touches at most
const int LANE_VECTORS = (ROW_VECTORS + int(CLUSTER) - 1) / int(CLUSTER);
const int LANES = int(CLUSTER);

struct Row {
  int start;  // element
  int first;  // vector of this lane
  int last;   // vector of the row
};

Row ragged_row(uint r) {
  int start = int(r * C);
  return Row(start, start / 4 + int(cluster_lane()), (start + int(C) - 1) / 4);
}

// Which elements of vector i are the row's.
bvec4 inside(Row row, int i) {
  return WHOLE_ROWS ? bvec4(i <= row.last) : lessThan(uvec4(4 * i - row.start + ivec4(0, 1, 2, 3)), uvec4(C));
}

// Whether a lane's n-th vector may be one of the row's ends or lie past them.
bool may_end(int n) { return n >= LANE_VECTORS - 2 || !WHOLE_ROWS && n == 0; }

// Stores what belongs to the row. `ends` is a constant: false where vector i is known to be the row's alone.
#define STORE_INSIDE(buffer, row, i, ends, value) \
  if (!(ends)) { \
    buffer[i] = value; \
  } else if (WHOLE_ROWS) { \
    if ((i) <= row.last) buffer[i] = value; \
  } else { \
    bvec4 inside_ = inside(row, i); \
    if (inside_.x) buffer[i].x = (value).x; \
    if (inside_.y) buffer[i].y = (value).y; \
    if (inside_.z) buffer[i].z = (value).z; \
    if (inside_.w) buffer[i].w = (value).w; \
  }
