"""What closes the loop on a forge: its pull requests and issues, by the rules of all forges."""

from modelci.adapters.forge import issuing, proposing
from modelci.adapters.forge.issuing import IssueStore
from modelci.adapters.forge.proposing import ProposalStore
from modelci.ports import Issue, PostedIssue, PostedProposal, Proposal


class LoopClosing:
    """What ``proposing`` and ``issuing`` do with a forge's own stores."""

    _proposals: ProposalStore
    _issues: IssueStore

    def find_proposal(self, branch: str, *, base: str) -> PostedProposal | None:
        """Return the branch's pull request, however it ended."""
        return proposing.find_proposal(self._proposals, branch, base)

    def propose(self, proposal: Proposal) -> PostedProposal:
        """Open the branch's pull request, or bring ours up to date."""
        return proposing.propose(self._proposals, proposal)

    def withdraw(self, branch: str, *, base: str, why: str) -> PostedProposal | None:
        """Close the branch's open pull request."""
        return proposing.withdraw(self._proposals, branch, base, why)

    def upsert_issue(self, issue: Issue) -> PostedIssue:
        """Open our issue with that marker, or bring it up to date."""
        return issuing.upsert_issue(self._issues, issue)

    def close_issue(self, marker: str, *, why: str) -> PostedIssue | None:
        """Close our issue with that marker."""
        return issuing.close_issue(self._issues, marker, why)
