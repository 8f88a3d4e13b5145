// What CLIENT TRACKING has set for one connection, and the server's words about it (tracking.c, networking.c of Redis
// 7.0). Pure; what is announced to whom, proxy/tracking knows.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "protocol/request.h"

namespace crossfade {

struct TrackingOptions {
  bool on = false;
  bool bcast = false;   // told of every key with one of the prefixes, read or not
  bool optin = false;   // only what is read after CLIENT CACHING YES is remembered
  bool optout = false;  // all but what is read after CLIENT CACHING NO
  bool noloop = false;
  bool broken_redirect = false;    // who was to be told has gone
  uint64_t redirect = 0;           // the client that is told; 0: this one
  std::set<std::string> prefixes;  // of bcast; "" is every key
};

// CLIENT TRACKING ON|OFF …: changes *options. Returns the error, which leaves them as they were; empty when there is
// none. `exists` says whether there is a client of this id.
std::string ParseTracking(RequestView request, const std::function<bool(int64_t id)>& exists, TrackingOptions* options);

// CLIENT CACHING `word`. Returns the error, empty when it holds for the next command.
std::string CheckCaching(std::string_view word, const TrackingOptions& options);

// CLIENT TRACKINGINFO. `caching`: CLIENT CACHING has been said.
void AppendTrackingInfo(const TrackingOptions& options, bool caching, int protocol, std::string* reply);

}  // namespace crossfade
