"""The parts of the project as items of the report, each with what makes sense to ask of it, and what tests did."""
