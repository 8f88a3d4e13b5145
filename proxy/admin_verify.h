// Verification in the admin API (/api/v1/verify), and what the status says of it.
#pragma once

#include <cstddef>

#include "nlohmann/json_fwd.hpp"
#include "proxy/http_message.h"
#include "proxy/verify_result.h"

namespace crossfade {

class Proxy;

inline constexpr size_t kVerifyListedInStatus = 10;

// GET, POST or DELETE? REQUIRES: its path is /api/v1/verify.
bool IsVerifyCall(const HttpRequest& request);
// GET: the state, with ?limit=N of the keys that differ. POST {"repair", "sample", "match", "db", "keys_per_second"}:
// 202 with the state, or 409 with the reason. DELETE cancels. REQUIRES: IsVerifyCall.
HttpResponse HandleVerify(Proxy* proxy, const HttpRequest& request);

// Adds to the array `list` what a person must know of the last verification.
void VerifyAttention(const VerifyResult& result, nlohmann::json* list);

}  // namespace crossfade
