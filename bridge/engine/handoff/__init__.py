"""The handing over of a call to a person: the asking, the steps, the person, the way back."""
