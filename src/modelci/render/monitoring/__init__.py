"""A window of a watched model, judged: as text, Markdown, a page, and OpenMetrics.

Every function takes ``(monitoring, history)``: the window's document, and those of other windows,
the oldest first. Whether the window itself is in its history does not matter; it counts once.

- ``view.headline``, ``view.say``: the verdict, in phrases and as a plain sentence
- ``terminal.render_monitoring``: for a terminal; ``terminal.plain_monitoring``: for scripts
- ``markdown.render_comment``, ``markdown.render_summary``: as those of a report
- ``markdown.render_pull_request``, ``markdown.render_issue``: the body of what a trigger opens;
  ``view.pull_request_title``, ``view.issue_title``: its title
- ``page.render_page``: one HTML page that needs nothing but itself
- ``openmetrics.render_metrics``: text for Prometheus
"""
