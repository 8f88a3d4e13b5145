// The fields of a hash that expire by themselves, for Rewrite: HEXPIRE and its kin, HSETEX, HGETEX, HGETDEL.
// COMMANDS.md, section A5. Only the fields of which the primary's reply says that something happened to them are
// followed, without the conditions, and with the moment on the secondary's own clock. Pure.
#pragma once

#include "routing/rewrite.h"

namespace crossfade {

// REQUIRES: the row's effect is one of kHashExpire to kHashGetDel.
void RewriteHashExpiry(const Accepted& accepted, Follow* follow);

}  // namespace crossfade
