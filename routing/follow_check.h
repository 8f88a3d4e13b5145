// Did the secondary answer a followed command as it must? Pure.
#pragma once

#include <string_view>

#include "protocol/request.h"
#include "routing/command_table.h"
#include "routing/rewrite.h"

namespace crossfade {

// `primary_reply` is the primary's reply to the client's command `request`, `secondary_reply` the secondary's to the
// derived command that `expectation` belongs to.
bool Meets(const Expectation& expectation, const CommandRow& row, RequestView request, std::string_view primary_reply,
           std::string_view secondary_reply);

}  // namespace crossfade
