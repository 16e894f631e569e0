// Row tiles of a grouped product: numbered expert after expert, each expert's last one may be short. The includer declares
// `utextureBuffer offsets` [E + 1], and OFFSET(e) where it reads that otherwise.
#ifndef OFFSET
#define OFFSET(e) int(texelFetch(offsets, e).x)
#endif
struct ExpertTile {
  int expert;
  int m0;
  int m_end;  // no rows from here on; m0 where the tile lies past the last one
};

/// Of tiles of `rows` rows.
ExpertTile expert_tile(int tile, int rows, int experts) {
  ExpertTile found = ExpertTile(0, 0, 0);
  int passed = 0;
  int begin = OFFSET(0);
  for (int e = 0; e < experts; e++) {
    int end = OFFSET(e + 1);
    int tiles = (end - begin + rows - 1) / rows;
    if (tile >= passed && tile < passed + tiles) found = ExpertTile(e, begin + (tile - passed) * rows, end);
    passed += tiles;
    begin = end;
  }
  return found;
}
