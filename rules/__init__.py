"""Observations in, alerts out; no bytes, no Kafka, no clock.

  facts/        data with sources                         detections/   data: one Sigma rule a file, with its cases

  load          folders → RuleSet                         check         each detection's own cases
  match         RuleSet: observation → alerts             cli           `lenswatch rules`

  factbook      facts/**/*.toml → Facts                   fact          what a facts file may say
  factcheck     what else must hold of a fact             listing       which listings apply on a day
  endpoints     names and addresses → company and role    networks      addresses → the longest network
  firmware      paths, files, user agents → step          lookalike     names that resemble a maker's

  verdict       (activity, company, profile, day) → what each programme says
  ownership     three legal tests on dated shares         court         verdicts and waiver of a sighting
  knowledge     facts → as they could be known on a day   scenario      facts → as they would be from a day on
  waivers       exceptions, with scope and end

  detection     Sigma file → Detection                    correlation   Sigma correlation file → Correlation
  rulebook      a folder of both                          correlate     windows of packet time: what is fulfilled
  pack          all files as one archive                  predicate     its condition → a function; the fields
  sighting      what a detection is asked about           finding       what fired → alert, and its id
  sentence      the words of an alert                     alert         the product
  errors        one line for whoever wrote the file

The doors are `rules.alert`, `rules.load`, `rules.match`, `rules.correlate`, `rules.check`, `rules.verdict`,
`rules.court`, `rules.waivers`, `rules.pack` and `rules.errors`. To add a detection: one file below
`detections/<family>/`; the file is the registration.
"""
