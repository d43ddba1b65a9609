"""Where a slide's rows and files meet models.her2: what a report is measured from and made of."""
