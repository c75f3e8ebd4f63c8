// The site's own privacy budget: what a node may still release, and the charge for what it does.
// Idempotent; called by join.h and round_work.h. Jobs without privacy do not touch it.
//
// A node's charge for (run, round, attempt) is in the outbox with the upload that it pays for, and
// the outbox is persisted before anything is sent. So whatever leaves was charged, and what was
// charged is never made again: another update of the same round would be a second release.
#pragma once

#include <vector>

#include "agent/session/session_data.h"

namespace skerry {

// Whether updates of this run are noisy, and so cost budget.
bool IsPrivate(const Run& run);

// What a worker must find out before the job's nodes train: nothing if the policy has no limit.
std::vector<BudgetQuestion> AskBudget(const SessionData& data);
// The answers. Nodes for which not even one round fits come back with the reason.
std::vector<DataProblem> TakeBudget(const std::vector<BudgetAnswer>& answers, SessionData& data,
                                    SessionOutbox& out);

// Before a node trains, and before others count on its masks: false, and the node has said so, if
// an update of the present round and attempt, or of a later one, was charged before, or if its
// budget is spent. A spent budget stays spent, so it is told for the whole job.
bool AdmitToRound(HostedIndex index, SessionData& data, SessionOutbox& out);

// Pays for the node's update of the present round. False if it was paid for already: then it may be
// another update that has left, and this one must not.
bool ChargeUpdate(HostedIndex index, SessionData& data, SessionOutbox& out);

}  // namespace skerry
