// The weights of one query's attention, from what class_scores.comp has left.
// The includer declares s, logsumexp, and for the gradient ds and delta.
#include "cluster.glsl"

// softmax at element `at` of s, of the pair b H + h.
float probability(int at, int pair) { return exp(texelFetch(s, at).x - texelFetch(logsumexp, pair).x); }

// Gradient of the loss with respect to s, given `p` there.
float score_gradient(float p, int at, int pair) { return p * (texelFetch(dp, at).x - texelFetch(delta, pair).x); }

#ifdef WIDE
#include "class_tokens.glsl"
#else
// `value` of the cluster's lane l, for all its lanes. Drivers compile a constant lane to a plain permutation.
float of_lane(float value, uint l) {
  return subgroupShuffle(value, WHOLE_SUBGROUP ? l : gl_SubgroupInvocationID - cluster_lane() + l);
}
#endif
