// A shader that includes this has a second form for software drivers (ComputeKernel.wide), compiled with WIDE defined: what an
// invocation stores at once, a span, is there two neighbouring vectors of four (wide.glsl) where it is one otherwise. The host takes
// it only where vectors come in pairs.
#ifndef SPAN_GLSL
#define SPAN_GLSL

#ifdef WIDE
#include "wide.glsl"
#define Span u64vec4
const uint SPAN = 2;
Span span(vec4 v[SPAN]) { return wide(v[0], v[1]); }
#else
#define Span vec4
const uint SPAN = 1;
Span span(vec4 v[SPAN]) { return v[0]; }
#endif

// Span i of what value(k) has at vector k.
#ifdef WIDE
#define SPAN_OF(value, i) wide(value(2 * (i)), value(2 * (i) + 1))
#else
#define SPAN_OF(value, i) value(i)
#endif

// Span `v` to elements c, c + 1, ... of the row of `count` elements that starts at element `start`, as far as they are inside it
// (store4.glsl). In the wide form rows are whole spans.
#ifdef WIDE
#define STORE_SPAN(buffer, start, c, count, v) if ((c) < (count)) buffer[((start) + (c)) >> 3] = span(v)
#else
#define STORE_SPAN(buffer, start, c, count, v) if ((c) < (count)) STORE4(buffer, start, c, count, (v)[0])
#endif

#endif
