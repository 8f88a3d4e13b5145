// Who a backend is, as its replies to the handshake tell. Pure parsing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace crossfade {

// What a store calls a time and is later (the year 5138) is nonsense, and what is computed from it would overflow.
inline constexpr int64_t kMostSeconds = int64_t{100'000'000'000};

struct ServerInfo {
  static constexpr int64_t kMostDatabases = 1 << 20;  // a server that tells of more is asked for no others

  std::string product;  // "redis", "valkey", "dragonfly"
  std::string version;
  std::string run_id;      // empty where the server has none (Dragonfly)
  int64_t started_ms = 0;  // by the proxy's wall clock, from its uptime; good to two seconds
  int64_t keys = 0;        // over all databases, when it was asked
  int databases = 16;
  bool resp3 = false;
  bool is_replica = false;
  bool field_expiry = false;     // fields of a hash may expire (Redis since 7.4, Valkey since 9)
  bool eager_consumers = true;   // a stream consumer is created even when there is nothing for it (Redis since 7.2)
  bool stream_counters = false;  // streams count entries added and deleted (Redis since 7.0, Valkey)
  std::string kill_refused;   // not empty: CLIENT KILL is denied, so what an old connection still carries may run late
  int64_t connection_id = 0;  // of the connection that asked; 0 when unknown
};

// The value of "name:value" at the beginning of a line of INFO's text; empty when there is none.
std::string_view InfoField(std::string_view text, std::string_view name);

// Fills product, version, run_id, started_ms, keys and is_replica from INFO's text.
void ParseInfo(std::string_view text, int64_t wall_ms, ServerInfo* info);

// The answer of CONFIG GET databases; 16, as servers begin with, when it is no number.
int ReadDatabases(std::string_view text);

// The keys of one database, or of all, from the "dbN:keys=…,expires=…" lines of INFO's text.
int64_t KeysInInfo(std::string_view text, int db = -1);
// What INFO's section "replication" says.
struct ReplicationInfo {
  bool replica = false;
  std::string master;    // host:port of a replica's primary
  bool link_up = false;  // … and whether it is connected to it
  bool syncing = false;  // … or still gets the first copy of everything
  int64_t down_s = 0;    // … for how long it has not been connected
  int64_t offset = 0;    // bytes of the stream: a primary's written, a replica's applied
  std::string replid;    // names the stream; empty where the server has none
};
ReplicationInfo ParseReplication(std::string_view text);

// The same process, with the memory that it had? By run_id, or by when it started where there is none.
bool SameProcess(const ServerInfo& a, const ServerInfo& b);

// How far a server's clock is ahead of the proxy's, from one TIME reply, and how wrong that may be. An offset that may
// just as well be none is none: most machines' clocks are kept together better than this can measure.
struct ClockReading {
  int64_t offset_ms = 0;
  int64_t uncertainty_ms = 0;
};
bool ReadClock(std::string_view time_reply, int64_t sent_ms, int64_t read_ms, ClockReading* reading);
// Is the fresh one to be believed instead of one that was read so long ago? One that waited behind other work says
// little; but clocks drift, and one that contradicts the known one shows that a clock was set.
bool Replaces(const ClockReading& fresh, const ClockReading& known, int64_t age_ms);

}  // namespace crossfade
