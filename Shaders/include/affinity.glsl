// The dot-product kernel: exp(-d / bandwidth) of the cosine distance d, or its logarithm; nothing beyond the truncation.
layout(constant_id = 0) const bool LOGARITHM = true;
// Stands for the logarithm of 0: finite, since GLSL promises nothing for infinities, and low enough that its exponential and
// that of its sum with any score are 0.
const float NOTHING = -1e30;
