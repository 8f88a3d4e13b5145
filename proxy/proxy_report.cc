// What the proxy keeps for the report: the ledger's view of it.
#include "proxy/ledger.h"
#include "proxy/preflight.h"
#include "proxy/proxy.h"
#include "proxy/report_asker.h"

namespace crossfade {

void Proxy::MakeReportParts() {
  report_asker_ = std::make_unique<ReportAsker>(io_, &config_);
  ledger_ = std::make_unique<Ledger>(io_, storage_, config_.state_dir, [this] {
    LedgerLook look;
    look.counters = &counters_;
    look.coverage = &coverage_;
    look.verify = &verify_->result();
    look.mismatches = &second_look_->mismatches();
    look.synced = migration().synced;
    look.unsynced_why = migration().unsynced_why;
    look.following = migration().following();
    look.everything_dirty = dirty_.everything();
    look.config_hash = config_hash_;
    for (Side side : {Side::kOld, Side::kNew}) {
      const Link& link = lane_->link(side);
      look.up[static_cast<int>(side)] = link.up();
      for (LatencyClass what : kLatencyClasses)
        look.latency[static_cast<int>(side)][static_cast<int>(what)] = &link.latency_of(what);
    }
    return look;
  });
  ledger_->Load(keeper_->instance(), keeper_->had_predecessor());
  preflight_->set_observer([this](const Preflight::Report& report) { ledger_->NotePreflight(report.findings); });
}

}  // namespace crossfade
