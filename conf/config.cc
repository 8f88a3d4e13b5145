#include "conf/config.h"

namespace crossfade {

namespace {

// Finds the value among `values` whose name is `text`.
template <typename Enum, size_t kCount>
bool FindByName(const std::string& text, const Enum (&values)[kCount], Enum* out) {
  for (Enum value : values) {
    if (text == Name(value)) {
      *out = value;
      return true;
    }
  }
  return false;
}

}  // namespace

const char* Name(SecondaryMode mode) {
  switch (mode) {
    case SecondaryMode::kFollow:
      return "follow";
    case SecondaryMode::kJournal:
      return "journal";
    case SecondaryMode::kOff:
      return "off";
    case SecondaryMode::kReplica:
      return "replica";
  }
  return "?";
}

const char* Name(AckMode mode) {
  return mode == AckMode::kPrimary ? "primary" : "both";
}

const char* Name(SplitMode mode) {
  return mode == SplitMode::kKey ? "key" : "random";
}

const char* Name(OnMiss on_miss) {
  return on_miss == OnMiss::kNil ? "nil" : "primary";
}

const char* Name(ScriptMode mode) {
  switch (mode) {
    case ScriptMode::kAuto:
      return "auto";
    case ScriptMode::kVerbatim:
      return "verbatim";
    case ScriptMode::kCopy:
      return "copy";
  }
  return "?";
}

bool ParseName(const std::string& text, Side* out) {
  for (Side side : {Side::kOld, Side::kNew}) {
    if (text == SideName(side)) {
      *out = side;
      return true;
    }
  }
  return false;
}

bool ParseName(const std::string& text, SecondaryMode* out) {
  return FindByName(
      text, {SecondaryMode::kFollow, SecondaryMode::kJournal, SecondaryMode::kOff, SecondaryMode::kReplica}, out);
}

bool ParseName(const std::string& text, AckMode* out) {
  return FindByName(text, {AckMode::kPrimary, AckMode::kBoth}, out);
}

bool ParseName(const std::string& text, SplitMode* out) {
  return FindByName(text, {SplitMode::kKey, SplitMode::kRandom}, out);
}

bool ParseName(const std::string& text, OnMiss* out) {
  return FindByName(text, {OnMiss::kNil, OnMiss::kPrimary}, out);
}

bool ParseName(const std::string& text, ScriptMode* out) {
  return FindByName(text, {ScriptMode::kAuto, ScriptMode::kVerbatim, ScriptMode::kCopy}, out);
}

std::string Address::ToString() const {
  bool is_ipv6 = host.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace crossfade
