// Deliberate faults, to show that the simulator finds such things: mistakes that somebody could make here, each one
// line in the product. FAULT(kName) is the constant false, and leaves no trace in the binary, unless the file is
// compiled with CROSSFADE_FAULTS, as only the simulator does (tests/CMakeLists.txt); there one of them at a time can be
// switched on.
#pragma once

#ifdef CROSSFADE_FAULTS

#include <string>
#include <string_view>

namespace crossfade {

enum class Fault {
  kNone,
  kFollowBeforeReply,    // the secondary gets a write before the primary has accepted it
  kForgetOnOverflow,     // keys dropped from a full queue are not made dirty
  kFlipWithoutDraining,  // the roles swap while commands are in flight
  kCopyIgnoresOrder,     // a copy makes a key clean that was written after it
  kAckBeforeJournal,     // a write's keys are journalled only once the primary has answered
  kForgetOnRestart,      // after a crash what was in flight is not made dirty
  kKeepStaleConnection,  // a connection that broke is not closed on the server: what lies unread in it still runs
};

inline constexpr std::string_view kFaultNames[] = {
    "none",
    "follow-before-reply",
    "forget-on-overflow",
    "flip-without-draining",
    "copy-ignores-order",
    "ack-before-journal",
    "forget-on-restart",
    "keep-stale-connection",
};

inline Fault& CurrentFault() {
  static Fault fault = Fault::kNone;
  return fault;
}

// False: no fault has this name.
inline bool SetFault(std::string_view name) {
  for (int i = 0; i < static_cast<int>(std::size(kFaultNames)); ++i) {
    if (kFaultNames[i] != name) continue;
    CurrentFault() = static_cast<Fault>(i);
    return true;
  }
  return false;
}

inline std::string FaultNames() {
  std::string names;
  for (std::string_view name : kFaultNames) names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

}  // namespace crossfade

#define FAULT(name) (::crossfade::CurrentFault() == ::crossfade::Fault::name)

#else

#define FAULT(name) false

#endif
