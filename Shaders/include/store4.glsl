// Four elements of a row to a buffer of vec4, the counterpart of fetch4.glsl: elements i ..< i + 4 of the row of
// `count` elements that starts at element `start`, as far as they are inside the row.
#define STORE4(buffer, start, i, count, value) \
  if ((count) % 4 == 0) { \
    buffer[((start) + (i)) >> 2] = value; \
  } else { \
    for (uint j_ = 0; j_ < 4 && (i) + j_ < (count); j_++) \
      buffer[((start) + (i) + j_) >> 2][((start) + (i) + j_) & 3] = (value)[j_]; \
  }
