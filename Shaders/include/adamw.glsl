// The table of an optimised block: one word for each chunk of 64 floats.
const uint DECAYS = 0x80000000u;

// Which of the four elements of vector `i` belong to a parameter, by the word of its chunk.
bvec4 owned(uint word, uint i) {
  uint first = (i % 16) * 4;
  return lessThan(uvec4(first, first + 1, first + 2, first + 3), uvec4(word & 0xffu));
}
