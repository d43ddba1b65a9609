"""What leaves the house: a report as PDF, HTML, FHIR and JSON, all from one content."""
