#ifndef BROADCASTS_GLSL
#define BROADCASTS_GLSL
// Set by `Dispatch.formed` for newer Mesa with 16 lanes (`DeviceTraits.broadcastsLanes`). There a lane's number reaches the others faster by
// a broadcast than by a shuffle, which is a loop; what is made of a group's number is known to be the same for all lanes; and a store of all
// lanes to places of their own is one instruction of the processor, a scatter, if it is of 32 bits: packing 64 of lanes overruns the driver's
// stack. On older Mesa a broadcast of 16 lanes is a loop, and such a store is one, too.
layout(constant_id = 98) const bool BROADCASTS = false;
#endif
