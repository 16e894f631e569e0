// Rows of a grouped product, four to a quad, so that no quad has rows of two experts. The includer declares
// `utextureBuffer offsets` [E + 1].
struct ExpertQuads {
  int first;  // quad; offsets[E] / 4 + E or fewer are enough for all
  int count;
  int begin;  // row
  int end;
};

ExpertQuads expert_quads(int expert) {
  int begin = int(texelFetch(offsets, expert).x), end = int(texelFetch(offsets, expert + 1).x);
  return ExpertQuads((begin >> 2) + expert, (end - begin + 3) >> 2, begin, end);
}
