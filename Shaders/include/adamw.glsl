// The table of an optimised block: one word for each chunk of 64 floats.
const uint DECAYS = 0x80000000u;

// Which of the elements at `places` belong to a parameter, by the word of their chunk.
bvec4 owned(uint word, uvec4 places) { return lessThan(places % 64, uvec4(word & 0xffu)); }
