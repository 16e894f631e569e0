// Four consecutive elements of a row, out of a storage buffer of vec4; fetch4.glsl is the same of a texel buffer. `aligned` where every row
// starts at a multiple of 4 elements and has a multiple of 4.

/// Elements i ..< i + 4 of a row of `count` that begins at `start`; zeros past its end.
#define FETCH(buffer, aligned, start, i, count) \
  (aligned ? ((i) < (count) ? buffer[((start) + (i)) >> 2] : vec4(0.0)) \
           : vec4(PICK(buffer, start, i, count), PICK(buffer, start, (i) + 1, count), \
                  PICK(buffer, start, (i) + 2, count), PICK(buffer, start, (i) + 3, count)))
#define PICK(buffer, start, i, count) ((i) < (count) ? buffer[((start) + (i)) >> 2][((start) + (i)) & 3] : 0.0)
